module github.com/tokenward/tokenward/clients/go/bench

go 1.26.0

require (
	github.com/tokenward/tokenward/clients/go v0.0.0
	github.com/tsenart/vegeta/v12 v12.13.0
	github.com/valyala/fasthttp v1.78.0
)

replace github.com/tokenward/tokenward/clients/go => ../
