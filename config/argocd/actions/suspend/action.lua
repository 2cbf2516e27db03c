-- Stops the requests of a batch.
obj.spec.suspend = true
return obj
