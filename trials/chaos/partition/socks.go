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
func handshake(c io.ReadWriter) (address string, err error) {
	read := func(n int) []byte { // zeros after an error
		b := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(c, b)
		}
		return b
	}
	head := read(2)
	read(int(head[1])) // the methods of authentication
	if err == nil && head[0] != version {
		err = fmt.Errorf("SOCKS version %d, not %d", head[0], version)
	}
	if err == nil {
		_, err = c.Write([]byte{version, 0})
	}
	request := read(4)
	if err == nil && request[1] != connect {
		err = fmt.Errorf("SOCKS command %d, not CONNECT", request[1])
	}
	size := map[byte]int{typeIPv4: net.IPv4len, typeIPv6: net.IPv6len}[request[3]]
	if request[3] == typeDomain {
		size = int(read(1)[0])
	}
	if err == nil && size == 0 {
		err = errors.New("SOCKS address of an unknown type")
	}
	target := read(size + 2)
	if err != nil {
		return "", err
	}
	host := string(target[:size])
	if request[3] != typeDomain {
		host = net.IP(target[:size]).String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(target[size:])))), nil
}

// answer tells a client what became of its request.
func answer(c io.Writer, code byte) error {
	_, err := c.Write([]byte{version, code, 0, typeIPv4, 0, 0, 0, 0, 0, 0})
	return err
}
