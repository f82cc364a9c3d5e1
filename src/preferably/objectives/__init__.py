"""Pure objectives in torch: tensors in, one loss per group out. Imports nothing of ours."""
