package launch

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/exit"
)

// TestServicesFail ends etcd while something goes on.
func TestServicesFail(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, errors.New("gone")} {
		failed := make(chan error, 1)
		failed <- fmt.Errorf("etcd: %w", cause)
		c := &cluster{services: &services{failed: failed}}
		err := c.attend(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return nil })
		if !errors.Is(err, cause) || exit.Code(err) != exit.Resource || errors.Is(cause, syscall.ENOSPC) != (exit.Hint(err) != "") {
			t.Errorf("%v: it ends with %v, code %d, hint %q", cause, err, exit.Code(err), exit.Hint(err))
		}
	}
}
