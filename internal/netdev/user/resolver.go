package user

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// resolvConf names the host's name servers.
const resolvConf = "/etc/resolv.conf"

// servers are the host's name servers as last read.
var servers struct {
	mu    sync.Mutex
	read  time.Time    // guarded by mu
	addrs []netip.Addr // guarded by mu
}

// serversAge is how long what was read counts.
const serversAge = time.Second

// resolver is the host's first name server, of the family if there is one.
func resolver(v6 bool) (a netip.Addr, ok bool) {
	servers.mu.Lock()
	defer servers.mu.Unlock()
	if now := time.Now(); now.Sub(servers.read) > serversAge {
		servers.read, servers.addrs = now, readServers(resolvConf)
	}
	for _, a := range servers.addrs {
		if a.Is6() == v6 {
			return a, true
		}
	}
	if len(servers.addrs) > 0 {
		return servers.addrs[0], true
	}
	return a, false
}

func readServers(path string) (list []netip.Addr) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for r := bufio.NewScanner(f); r.Scan(); {
		words := strings.Fields(r.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			list = append(list, a)
		}
	}
	return list
}
