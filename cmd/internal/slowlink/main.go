// Command slowlink joins two network namespaces by a bad network until it is
// interrupted. `scripts/bench links` builds and starts it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gramme-project/gramme/trials/slowlink"
)

func main() {
	var cfg slowlink.Config
	var a, b slowlink.Host
	flag.DurationVar(&cfg.Delay, "delay", 0, "of every packet, in each direction")
	flag.DurationVar(&cfg.Jitter, "jitter", 0, "up to so much more, or less")
	flag.Float64Var(&cfg.Loss, "loss", 0, "share of the packets that are dropped")
	flag.Float64Var(&cfg.Rate, "rate", 0, "bits a second; 0: as many as come")
	flag.DurationVar(&cfg.Queue, "queue", 0, "how long a packet may wait for its turn")
	flag.Uint64Var(&cfg.Seed, "seed", 1, "of what is drawn")
	for name, h := range map[string]*slowlink.Host{"a": &a, "b": &b} {
		flag.StringVar(&h.Namespace, name, "", "network namespace of a host")
		flag.StringVar(&h.Address, name+"-address", "", "its address")
	}
	flag.Parse()
	if err := run(cfg, a, b); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(cfg slowlink.Config, a, b slowlink.Host) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := slowlink.New(cfg, a, b)
	if err != nil {
		return err
	}
	fmt.Println("up")
	return l.Run(ctx)
}
