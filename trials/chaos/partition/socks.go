package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// SOCKS5 (RFC 1928), as far as is needed: no authentication, CONNECT.
const (
	version    = 5
	connect    = 1
	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4
	granted    = 0
	refused    = 5
)

// handshake returns the address to which a client wants to be connected.
func handshake(c io.ReadWriter) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(c, methods); err != nil {
		return "", err
	}
	if head[0] != version {
		return "", fmt.Errorf("SOCKS version %d, not %d", head[0], version)
	}
	if _, err := c.Write([]byte{version, 0}); err != nil {
		return "", err
	}
	var request [4]byte
	if _, err := io.ReadFull(c, request[:]); err != nil {
		return "", err
	}
	if request[1] != connect {
		return "", fmt.Errorf("SOCKS command %d, not CONNECT", request[1])
	}
	size := map[byte]int{typeIPv4: net.IPv4len, typeIPv6: net.IPv6len}[request[3]]
	if request[3] == typeDomain {
		var length [1]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return "", err
		}
		size = int(length[0])
	}
	if size == 0 {
		return "", errors.New("SOCKS address of an unknown type")
	}
	address := make([]byte, size+2)
	if _, err := io.ReadFull(c, address); err != nil {
		return "", err
	}
	host := string(address[:size])
	if request[3] != typeDomain {
		host = net.IP(address[:size]).String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(address[size:])))), nil
}

// answer tells a client what became of its request.
func answer(c io.Writer, code byte) error {
	_, err := c.Write([]byte{version, code, 0, typeIPv4, 0, 0, 0, 0, 0, 0})
	return err
}
