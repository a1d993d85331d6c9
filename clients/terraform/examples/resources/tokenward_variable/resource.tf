variable "database_password" {
  type      = string
  ephemeral = true
}

resource "tokenward_project" "shop" {
  name = "shop"
}

resource "tokenward_variable" "currency" {
  project_id = tokenward_project.shop.id
  key        = "CURRENCY"
  value      = "EUR"
}

resource "tokenward_variable" "password" {
  project_id        = tokenward_project.shop.id
  key               = "DATABASE_PASSWORD"
  secret_wo         = var.database_password
  secret_wo_version = 1
}
