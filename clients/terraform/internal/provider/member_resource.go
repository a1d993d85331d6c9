package provider

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type memberResource struct{ managed }

func newMemberResource() resource.Resource { return &memberResource{} }

var (
	_ resource.ResourceWithImportState = (*memberResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*memberResource)(nil)
)

type memberModel struct {
	ID     types.String `tfsdk:"id"`
	Email  types.String `tfsdk:"email"`
	Role   types.String `tfsdk:"role"`
	Status types.String `tfsdk:"status"`
	Link   types.String `tfsdk:"invitation_link"`
}

func (r *memberResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_member"
}

func (r *memberResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "A member of the organization: invited when it is made, removed when it is destroyed.",
		Attributes: map[string]schema.Attribute{
			"id":              schema.StringAttribute{Computed: true, MarkdownDescription: "The e-mail address: what a member has before and after the invitation is accepted.", PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}},
			"email":           schema.StringAttribute{Required: true, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplaceIf(otherAddress, anotherPerson, anotherPerson)}},
			"role":            schema.StringAttribute{Required: true, MarkdownDescription: "The role, by name or id."},
			"status":          schema.StringAttribute{Computed: true, MarkdownDescription: "`PENDING` or `EXPIRED` while invited, `MEMBER` after that. An invitation that has expired is renewed by the next apply, with another link."},
			"invitation_link": schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The link to accept by, from when it was made until it is accepted. Null after an import."},
		},
	}
}

const (
	isMember      = "MEMBER"
	hasExpired    = "EXPIRED"
	anotherPerson = "Another address is somebody else."
)

// otherAddress is false for the same address in other letters.
func otherAddress(_ context.Context, request planmodifier.StringRequest, response *stringplanmodifier.RequiresReplaceIfFuncResponse) {
	response.RequiresReplace = !sameAddress(request.StateValue.ValueString(), request.PlanValue.ValueString())
}

// ModifyPlan says that an invitation which has expired is renewed: nobody can accept it any more.
func (r *memberResource) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Plan.Raw.IsNull() || request.State.Raw.IsNull() {
		return
	}
	var plan, state memberModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}) {
		return
	}
	// Somebody else is invited in any case.
	if state.Status.ValueString() != hasExpired || !sameAddress(state.Email.ValueString(), plan.Email.ValueString()) {
		return
	}
	response.Diagnostics.AddAttributeWarning(path.Root("status"), "The invitation has expired",
		fmt.Sprintf("`%s` has not accepted it in time, and will be invited anew: the link is another one.", state.Email.ValueString()))
	plan.Status, plan.Link = types.StringUnknown(), types.StringUnknown()
	response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
}

// find looks for somebody by the address, among members first, as they are at this moment.
func (r *memberResource) find(ctx context.Context, email string) (member api.Member, invited, found bool, err error) {
	return among(email, func() ([]api.Member, []api.Member, error) { return r.of.Members(ctx) })
}

func among(email string, list func() (members, invited []api.Member, err error)) (member api.Member, invited, found bool, err error) {
	members, pending, err := list()
	if err != nil {
		return api.Member{}, false, false, err
	}
	for at, it := range slices.Concat(members, pending) {
		if sameAddress(it.Email, email) {
			return it, at >= len(members), true, nil
		}
	}
	return api.Member{}, false, false, nil
}

func (m *memberModel) read(member api.Member, invited bool) {
	m.Email = same(m.Email, member.Email, sameAddress)
	m.ID = same(m.ID, member.Email, sameAddress)
	m.Role = roleText(m.Role, member.RoleID, member.RoleName)
	m.Status = types.StringValue(isMember)
	if invited {
		m.Status = types.StringValue(member.Status)
	} else {
		m.Link = types.StringNull()
	}
}

func (r *memberResource) invite(ctx context.Context, plan *memberModel) error {
	role, err := roleID(ctx, r.of, plan.Role.ValueString())
	if err != nil {
		return err
	}
	invited, err := r.of.Invite(ctx, plan.Email.ValueString(), role.ID)
	if err != nil {
		holder, pending, found, unread := r.find(ctx, plan.Email.ValueString())
		switch {
		case unread != nil || !found:
			return err
		case !pending || holder.RoleID != role.ID || !r.of.Interrupted(ctx, holder.ID):
			return fmt.Errorf("%w If it is this one, `terraform import` it by its address", err)
		}
		// Of the invitation of an apply that was killed nobody has the link.
		if err := r.of.Uninvite(ctx, holder.ID); err != nil {
			return err
		}
		if invited, err = r.of.Invite(ctx, plan.Email.ValueString(), role.ID); err != nil {
			return err
		}
	}
	plan.read(invited, true)
	plan.Link = optional(invited.Link)
	return nil
}

func (r *memberResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan memberModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	if err := r.invite(ctx, &plan); err != nil {
		tell(&response.Diagnostics, "The member cannot be invited", err)
		return
	}
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *memberResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state memberModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	email := state.Email
	if email.IsNull() {
		email = state.ID
	}
	member, invited, found, err := among(email.ValueString(), func() ([]api.Member, []api.Member, error) { return r.of.KnownMembers(ctx) })
	switch {
	case err != nil:
		r.unread(ctx, response, "member", err)
	case !found:
		r.unread(ctx, response, "member", api.Absent("member"))
	default:
		state.read(member, invited)
		response.Diagnostics.Append(response.State.Set(ctx, state)...)
	}
}

func (r *memberResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state memberModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}) {
		return
	}
	plan.Link = state.Link
	what := "The member cannot get another role"
	if state.Status.ValueString() == hasExpired {
		// The link that the state knows is of no use any more.
		what, plan.Link = "The member cannot be invited anew", types.StringNull()
	}
	failed := func(err error) { tell(&response.Diagnostics, what, err) }
	member, invited, found, err := r.find(ctx, plan.Email.ValueString())
	if err == nil && !found {
		err = fmt.Errorf("`%s` is no member any more, and is not invited; apply once more", plan.Email.ValueString())
	}
	if err != nil {
		failed(err)
		return
	}
	role, err := roleID(ctx, r.of, plan.Role.ValueString())
	if err != nil {
		failed(err)
		return
	}
	if member.RoleID == role.ID && (!invited || member.Status != hasExpired) {
		// It is the same one in other words, or somebody was faster.
		plan.read(member, invited)
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	if invited && member.RoleID == role.ID {
		renewed, err := r.of.InviteAnew(ctx, member.ID)
		if err != nil {
			failed(err)
			return
		}
		plan.read(renewed, true)
		plan.Link = optional(renewed.Link)
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	if invited {
		// An invitation has the role that it was made with.
		if err = r.of.Uninvite(ctx, member.ID); err == nil {
			err = r.invite(ctx, &plan)
		}
		if err != nil {
			failed(err)
			return
		}
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	if err := r.of.GiveRole(ctx, member.ID, member.ETag, role.ID); err != nil {
		failed(err)
		return
	}
	member.RoleID, member.RoleName = role.ID, role.Name
	plan.read(member, false)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *memberResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state memberModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	member, invited, found, err := r.find(ctx, state.Email.ValueString())
	switch {
	case err != nil:
	case !found:
		err = api.Absent("member")
	case invited:
		err = r.of.Uninvite(ctx, member.ID)
	default:
		err = r.of.RemoveMember(ctx, member.ID)
	}
	r.deleted(ctx, response, "member", err)
}

func (r *memberResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "member", path.Root("id"), func(email string) (string, error) {
		member, _, found, err := among(email, func() ([]api.Member, []api.Member, error) { return r.of.KnownMembers(ctx) })
		if err == nil && !found {
			err = api.Absent("member")
		}
		return member.Email, err
	})
}
