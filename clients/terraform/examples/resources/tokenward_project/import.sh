terraform import tokenward_project.shop shop
