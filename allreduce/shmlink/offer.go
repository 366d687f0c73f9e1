package shmlink

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Offer is how a sender reaches a receiver on the same host. It travels as JSON.
type Offer struct {
	Boot   string `json:"boot"` // boot ID of the machine
	User   int    `json:"user"`
	Socket string `json:"socket"` // an abstract name
}

// socketPrefix begins the name of every socket.
const socketPrefix = "gramme-ring-"

func newOffer(boot string) (Offer, error) {
	var name [16]byte
	if _, err := rand.Read(name[:]); err != nil {
		return Offer{}, err
	}
	return Offer{boot, os.Geteuid(), socketPrefix + hex.EncodeToString(name[:])}, nil
}

// check returns why a process on a machine of that boot ID cannot take an offer.
func (o Offer) check(boot string) error {
	switch {
	case o.Socket == "":
		return errors.New("the other worker offers no memory")
	case o.Boot != boot:
		return errors.New("the other worker is on another host")
	case o.User != os.Geteuid():
		return fmt.Errorf("the other worker belongs to user %d, this one to %d", o.User, os.Geteuid())
	}
	return nil
}

func (o Offer) address() *net.UnixAddr { return &net.UnixAddr{Net: "unix", Name: "@" + o.Socket} }

// samePeer checks with the kernel that the process at the other end belongs to this
// user: anybody on the machine may connect, or may have taken the name.
func samePeer(c *net.UnixConn) error {
	var peer *unix.Ucred
	err := control(c, func(fd int) (err error) {
		peer, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err == nil && int(peer.Uid) != os.Geteuid() {
		err = fmt.Errorf("the process at the other end belongs to user %d, this one to %d", peer.Uid, os.Geteuid())
	}
	return err
}

func control(c *net.UnixConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
