"""The header of a file of claims."""

HEADER = "model,device,devices,ms_per_token"
