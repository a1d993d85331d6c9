data "tokenward_permissions" "all" {}

output "routes_need" {
  value = data.tokenward_permissions.all.routes
}
