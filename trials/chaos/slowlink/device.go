package slowlink

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"
)

// Values of linux/if_tun.h that package syscall does not name.
const (
	withoutHead  = 0x1000     // IFF_NO_PI
	withOffload  = 0x4000     // IFF_VNET_HDR
	setOffload   = 0x400454d0 // TUNSETOFFLOAD
	checksums    = 0x01       // TUN_F_CSUM
	segmentation = 0x02       // TUN_F_TSO4
)

// Host is a network namespace and the address that it is to have.
type Host struct{ Namespace, Address string }

// device is the end of a link that is the network device of a host. A read or a
// write is one packet.
type device struct{ *os.File }

// openDevice makes the network device of a host. With offload the kernel hands over
// segments of up to 64 KiB, which cost less to pass on: of those one more or less is
// no longer as one packet.
func openDevice(name string, h, peer Host, offload bool) (device, error) {
	fail := func(err error) (device, error) {
		return device{}, fmt.Errorf("network device of %s: %w", h.Namespace, err)
	}
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail(os.NewSyscallError("open /dev/net/tun", err))
	}
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | withoutHead
	if offload {
		request.flags |= withOffload
	}
	if err := ioctl(fd, syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request))); err != nil {
		_ = syscall.Close(fd) // it is given up
		return fail(os.NewSyscallError("TUNSETIFF", err))
	}
	if offload {
		if err := ioctl(fd, setOffload, checksums|segmentation); err != nil {
			_ = syscall.Close(fd) // it is given up
			return fail(os.NewSyscallError("TUNSETOFFLOAD", err))
		}
	}
	d := device{os.NewFile(uintptr(fd), name)}
	for _, args := range [][]string{
		{"link", "set", name, "netns", h.Namespace},
		{"-n", h.Namespace, "address", "add", h.Address, "peer", peer.Address, "dev", name},
		{"-n", h.Namespace, "link", "set", name, "up", "txqueuelen", "1000"},
		{"-n", h.Namespace, "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			_ = d.Close() // it is given up
			return fail(fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out))))
		}
	}
	return d, nil
}

func ioctl(fd int, request, argument uintptr) error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, argument); e != 0 {
		return e
	}
	return nil
}
