terraform import tokenward_role.clerk clerk
