module github.com/tokenward/tokenward/clients/go

go 1.24
