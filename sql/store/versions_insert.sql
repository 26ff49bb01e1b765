insert into versions (dataset_id, number, label, doc)
values (:dataset_id, :number, :label, :doc)
