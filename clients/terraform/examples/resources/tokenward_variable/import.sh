terraform import tokenward_variable.currency shop/CURRENCY
terraform import tokenward_variable.other shop/staging/OTHER
