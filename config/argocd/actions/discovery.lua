-- The actions that Argo CD offers for an EmbeddedUserBatch. One that would change nothing now is disabled.
local suspended = obj.spec.suspend == true
local actions = {
  reconcile = {disabled = suspended},
  suspend = {disabled = suspended},
  resume = {disabled = not suspended},
}
if obj.status ~= nil and obj.status.approval ~= nil then
  actions.approve = {disabled = false}
end
return actions
