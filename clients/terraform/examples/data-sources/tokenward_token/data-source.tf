resource "tokenward_token" "ci" {
  name     = "ci"
  role     = "viewer"
  generate = true
  labels   = { team = "shop" }
}

data "tokenward_token" "ci" {
  name = tokenward_token.ci.name
}

output "last_used" {
  value = data.tokenward_token.ci.last_used_at
}

output "team" {
  value = data.tokenward_token.ci.labels["team"]
}
