-- Has a suspended batch go on.
obj.spec.suspend = nil
return obj
