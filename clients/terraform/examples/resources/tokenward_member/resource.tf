resource "tokenward_member" "ada" {
  email = "ada@acme.example"
  role  = "devops"
}

output "invitation" {
  value     = tokenward_member.ada.invitation_link
  sensitive = true
}
