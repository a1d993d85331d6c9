// The provider for Terraform and OpenTofu.
package main

import (
	"context"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/tokenward/tokenward/clients/terraform/internal/provider"
)

// Set by the release.
var version = "dev"

func main() {
	options := providerserver.ServeOpts{Address: "registry.terraform.io/tokenward/tokenward"}
	if err := providerserver.Serve(context.Background(), provider.New(version), options); err != nil {
		log.Fatal(err)
	}
}
