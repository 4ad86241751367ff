"""Two configurations as files."""

TODAY = """
model = "llama-3-70b"
device = "h100-sxm"
tp = 8
weight-format = "fp8"
batch = "1Ki"
"""
TOMORROW = """
name = "next year"
model = "llama-3-70b"
device = "b200"
tp = 8
weight_format = "fp8"
batch = 1024
[overrides]
device.memory_bandwidth = { scale = 2 }
"economics.utilization" = "60 %"
"""
