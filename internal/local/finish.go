package local

import (
	"fmt"
	"syscall"
	"time"
)

// finish asks a service to end and waits until it has.
func (c *cluster) finish(ch *child) error {
	if err := ch.proc.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-ch.proc.Ended():
	case <-time.After(20 * time.Second):
		if err := ch.proc.Kill(); err != nil {
			return err
		}
		<-ch.proc.Ended()
		return fmt.Errorf("%s did not end by itself", ch.command.Name)
	}
	return ch.proc.Err()
}
