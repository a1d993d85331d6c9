resource "tokenward_project" "shop" {
  name = "shop"
}

resource "tokenward_role" "clerk" {
  name        = "clerk"
  description = "Reads invoices, and deploys the shop to staging."
  permissions = ["invoices:read"]
  projects = {
    (tokenward_project.shop.id) = { staging = "DEPLOYER", production = "VIEWER" }
  }
  # Who has it when it is destroyed.
  move_holders_to = "viewer"
}
