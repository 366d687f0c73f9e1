package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gramme-project/gramme/internal/wire"
)

// ErrNoRun says that etcd does not know the run.
var ErrNoRun = errors.New("there is no such run: is this the right cluster, and does the run go on?")

// WithSecret returns the endpoint with the run's secret. On shared services the secret
// stands in etcd, beside the spec: the first process that asks for it draws it.
func (e Endpoint) WithSecret(ctx context.Context) (Endpoint, error) {
	if !e.Shared || e.Secret != "" {
		return e, nil
	}
	client, err := e.DialEtcd(ctx)
	if err != nil {
		return e, err
	}
	keys := wire.KeysOf(e.Run)
	draw := clientv3.Compare(clientv3.CreateRevision(keys.Secret()), "=", 0)
	begun := clientv3.Compare(clientv3.CreateRevision(keys.Spec()), ">", 0)
	r, err := client.Txn(ctx).If(draw, begun).
		Then(clientv3.OpPut(keys.Secret(), rand.Text()), clientv3.OpGet(keys.Secret())).Else(clientv3.OpGet(keys.Secret())).Commit()
	if err == nil {
		got := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs
		if len(got) == 1 {
			e.Secret = string(got[0].Value)
		} else {
			err = ErrNoRun
		}
	}
	if closed := client.Close(); !errors.Is(closed, context.Canceled) {
		err = errors.Join(err, closed)
	}
	if err != nil {
		return e, fmt.Errorf("look for run %s in etcd: %w", e.Run, err)
	}
	return e, nil
}
