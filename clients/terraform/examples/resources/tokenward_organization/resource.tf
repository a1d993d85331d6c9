resource "tokenward_organization" "acme" {
  name        = "Acme"
  description = "Sells what there is."
  website_url = "https://acme.example"

  # All that is asked of the lives of tokens, and more of those that may do everything.
  token_policy = {
    max_lifetime     = "1y"
    default_lifetime = "90d"
    max_overlap      = "7d"
    roles            = { admin = { max_lifetime = "12h" } }
  }

  # What events say is erased after it.
  event_retention = "2y"
}

# By what people sign in only a person can change. Here it is held against what is wanted.
check "two_factors" {
  assert {
    condition     = tokenward_organization.acme.sign_in.two_factors
    error_message = "One factor is enough to sign in: tokenward org sign-in set --two-factors"
  }
}
