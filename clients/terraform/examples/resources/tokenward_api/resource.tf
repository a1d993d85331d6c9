resource "tokenward_api" "bookshop" {
  name     = "bookshop"
  document = file("${path.module}/openapi.yaml")
}

# The plan says what each route needs, and which roles reach more and less.
output "needs" {
  value = tokenward_api.bookshop.routes
}
