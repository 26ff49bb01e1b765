# tries: makes a call by the door of old programs, with their numbers
# end: violation
import ctypes
import mmap


class Escaped(Exception):
    pass


def transform(inputs, params):
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # mov eax, 20; int 0x80; ret
    memory.write(bytes([0xB8, 0x14, 0, 0, 0, 0xCD, 0x80, 0xC3]))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    raise Escaped(ctypes.CFUNCTYPE(ctypes.c_int)(address)())
