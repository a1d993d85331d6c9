resource "tokenward_token" "ci" {
  name     = "ci"
  role     = "viewer"
  generate = true
}

data "tokenward_token" "ci" {
  name = tokenward_token.ci.name
}

output "last_used" {
  value = data.tokenward_token.ci.last_used_at
}
