# tries: doubles a text
# end: out_of_memory


def transform(inputs, params):
    text = "a"
    while True:
        text += text
