terraform import tokenward_member.ada ada@acme.example
