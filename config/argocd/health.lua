-- The health of an EmbeddedUserBatch or an EmbeddedUserSlice in Argo CD; docs/gitops.md has a table of what it says when.
-- Only Ready, Stalled and Suspended decide. The other conditions are details: CredentialsValid may be False while every user exists.
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to look at the latest spec"}
end

local health = {status = "Progressing", message = ""}
local paused = false
for _, condition in ipairs(status.conditions) do
  if condition.type == "Ready" then
    health.message = condition.message
    paused = paused or condition.reason == "Observed"
    if condition.status == "True" then
      health.status = "Healthy"
    end
  end
  paused = paused or condition.type == "Suspended" and condition.status == "True"
end
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    health.status = "Degraded"
  end
end
if paused then
  health.status = "Suspended"
end
return health
