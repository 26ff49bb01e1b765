select transforms.doc
from transform_inputs
join transforms on transforms.id = transform_inputs.transform_id
where transform_inputs.dataset_id = ?
