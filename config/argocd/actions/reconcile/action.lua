-- Has the operator look up the users of a batch once, and try those again that the API rejected.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["embedded.runalloy.com/reconcile-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
