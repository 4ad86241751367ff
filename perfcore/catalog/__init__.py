"""Facts with sources: models, devices, formats, engines, energy and prices."""
