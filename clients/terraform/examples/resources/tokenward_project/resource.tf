resource "tokenward_project" "shop" {
  name        = "shop"
  description = "What sells."
}
