resource "tokenward_project" "shop" {
  name = "shop"
}

data "tokenward_project" "shop" {
  name = tokenward_project.shop.name
}
