data "tokenward_roles" "all" {}

output "admin" {
  value = data.tokenward_roles.all.ids["admin"]
}
