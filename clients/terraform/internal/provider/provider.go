// Package provider is what Terraform and OpenTofu speak to.
package provider

import (
	"context"
	"errors"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type tokenward struct{ version string }

var _ provider.ProviderWithEphemeralResources = (*tokenward)(nil)

// New makes the provider of a version.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &tokenward{version} }
}

func (p *tokenward) Metadata(_ context.Context, _ provider.MetadataRequest, response *provider.MetadataResponse) {
	response.TypeName, response.Version = "tokenward", p.version
}

func (p *tokenward) Schema(_ context.Context, _ provider.SchemaRequest, response *provider.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "Manages the API tokens of an organization, and what they are for, on a Tokenward server.",
		Attributes: map[string]schema.Attribute{
			"url": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The server, such as `https://tokens.example.com`; or the variable `TOKENWARD_URL`. There is no default.",
			},
			"token": schema.StringAttribute{
				Optional:            true,
				Sensitive:           true,
				MarkdownDescription: "The token that manages; or the variable `TOKENWARD_TOKEN`, which is better: nothing of it is written down.",
			},
			"organization": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The organization, by name or id; or `TOKENWARD_ORGANIZATION`. Needed only where the token sees several.",
			},
			"ca_certificate": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The PEM of the authority that signed the server's certificate, where it is your own.",
			},
		},
	}
}

type settings struct {
	URL           types.String `tfsdk:"url"`
	Token         types.String `tfsdk:"token"`
	Organization  types.String `tfsdk:"organization"`
	CACertificate types.String `tfsdk:"ca_certificate"`
}

func (p *tokenward) Configure(ctx context.Context, request provider.ConfigureRequest, response *provider.ConfigureResponse) {
	var config settings
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	read := func(set types.String, attribute, variable, missing string) string {
		if set.IsUnknown() {
			response.Diagnostics.AddAttributeError(path.Root(attribute), "The provider's `"+attribute+"` is not known yet",
				"It comes from something that this run makes. Make that in a run before, or set "+variable+".")
		}
		text := set.ValueString()
		if text == "" {
			text = os.Getenv(variable)
		}
		if text == "" && missing != "" {
			response.Diagnostics.AddAttributeError(path.Root(attribute), "The provider has no `"+attribute+"`", missing)
		}
		return text
	}
	url := read(config.URL, "url", "TOKENWARD_URL", "Say which server it is, here or in TOKENWARD_URL, such as https://tokens.example.com.")
	token := read(config.Token, "token", "TOKENWARD_TOKEN", "Put a token into TOKENWARD_TOKEN.")
	organization := read(config.Organization, "organization", "TOKENWARD_ORGANIZATION", "")
	if config.CACertificate.IsUnknown() {
		// Without it another authority would be asked whether this is the server.
		response.Diagnostics.AddAttributeError(path.Root("ca_certificate"), "The provider's `ca_certificate` is not known yet",
			"It comes from something that this run makes. Make that in a run before, or read it from a file.")
	}
	if response.Diagnostics.HasError() {
		return
	}
	client, err := api.New(api.Config{URL: url, Token: token, CACertificate: config.CACertificate.ValueString(), Agent: "terraform-provider-tokenward/" + p.version})
	if errors.Is(err, api.ErrAuthority) || errors.Is(err, api.ErrNotOnlyCertificates) {
		response.Diagnostics.AddAttributeError(path.Root("ca_certificate"), "The authority of the server cannot be used", err.Error())
		return
	}
	if errors.Is(err, api.ErrProxy) {
		response.Diagnostics.AddError("The proxy of the environment cannot be used", err.Error())
		return
	}
	if errors.Is(err, api.ErrToken) {
		response.Diagnostics.AddAttributeError(path.Root("token"), "The provider's token cannot be used", err.Error())
		return
	}
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("url"), "The address of the server cannot be used", err.Error())
		return
	}
	of, err := client.Organization(ctx, organization)
	if api.Coded(err, "no_organization") {
		response.Diagnostics.AddAttributeError(path.Root("organization"), "The organization cannot be read", err.Error())
		return
	}
	if err != nil {
		tell(&response.Diagnostics, "The organization cannot be read", err)
		return
	}
	response.ResourceData, response.DataSourceData, response.EphemeralResourceData = of, of, of
}

func (p *tokenward) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		withIdentity(newTokenResource), withIdentity(newRoleResource), withIdentity(newProjectResource), withIdentity(newEnvironmentResource),
		withIdentity(newClusterResource), withIdentity(newMemberResource), withIdentity(newVariableResource, "project_id", "environment_id"),
		withIdentity(newAPIResource), withIdentity(newOrganizationResource), withIdentity(newPolicyTokenResource),
	}
}

func (p *tokenward) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		newTokenData, newRoleData, newRolesData, newProjectData, newEnvironmentData, newClusterData, newMemberData, newPermissionsData, newDecisionData,
	}
}

func (p *tokenward) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{newEphemeralToken}
}
