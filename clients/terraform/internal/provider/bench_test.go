package provider

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// 200 tokens of a configuration among 3,000 others: `scripts/clients bench`.
func BenchmarkAPlanOf200TokensAmong3000(b *testing.B) {
	s := newServer(b)
	of := organization(b, s.world)
	role, err := roleID(b.Context(), of, "viewer")
	must(b, err)
	numbers := make(chan int)
	var makers sync.WaitGroup
	for range 8 {
		makers.Go(func() {
			for n := range numbers {
				if _, err := of.CreateToken(b.Context(), map[string]any{"name": fmt.Sprintf("other-%d", n), "role_id": role.ID}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := range 3_000 {
		numbers <- n
	}
	close(numbers)
	makers.Wait()
	c := newCore(b, s.world, "resource \"tokenward_token\" \"it\" {\n  count    = 200\n  name     = \"mine-${count.index}\"\n  role     = \"viewer\"\n  generate = true\n}\n")
	// A trace of everything is not what people plan with.
	c.env = append(c.env, "TF_LOG=")
	c.run("apply", "-auto-approve", "-input=false")
	for b.Loop() {
		begun := time.Now()
		plan := c.command("plan", "-detailed-exitcode", "-input=false")
		if said, err := plan.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, said)
		}
		// Of a busy machine the processor's time says more than the clock.
		b.Logf("a plan took %s, %s of them of the processor", time.Since(begun).Round(time.Millisecond), (plan.ProcessState.UserTime() + plan.ProcessState.SystemTime()).Round(time.Millisecond))
	}
}
