-- Has the operator create the missing users of a batch under the API key that the Secret has now, although it may be another account's.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["embedded.runalloy.com/approve"] = obj.status.approval
return obj
