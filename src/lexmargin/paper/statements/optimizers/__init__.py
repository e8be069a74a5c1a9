"""Which norm's margin an optimizer maximises: theorems of others, measured."""
