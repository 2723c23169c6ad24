package boot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/tests/guest"
)

// TestNetwork lets a guest get an address by DHCP, ping the gateway, fetch a file of the host, by HTTP and by TFTP, and answer somebody who
// comes through a forwarded port.
func TestNetwork(t *testing.T) {
	f := prepare(t, "amd64") // the cloud's kernel has no e1000
	bb, err := guest.GetBusybox()
	require.NoError(t, err)
	require.NoError(t, guest.WriteInitramfs(f.initrd, guest.Spec{Busybox: bb, Kernel: f.kernel, Modules: append([]string{"virtio_net", "e1000", "e1000e", "8139cp", "af_packet"}, guest.DefaultModules...)}))
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), data, 0o644))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() { _ = http.Serve(l, http.FileServer(http.Dir(dir))) }()
	for _, nic := range []string{"virtio-net-pci", "e1000", "e1000e", "rtl8139"} {
		t.Run(nic, func(t *testing.T) {
			free, err := net.Listen("tcp4", "127.0.0.1:0")
			require.NoError(t, err)
			forwarded := free.Addr().String()
			require.NoError(t, free.Close())
			ctx, cancel := context.WithCancel(t.Context())
			answer := make(chan string, 1)
			go func() { answer <- ask(ctx, forwarded) }()
			defer cancel()
			run := "ip link set eth0 up; udhcpc -i eth0 -n -q -t 10 -T 1 -s /bin/true && ip addr add 10.0.2.15/24 dev eth0 && ping -c 1 10.0.2.2 && " +
				fmt.Sprintf("wget -q -O - http://10.0.2.2:%d/data | sha256sum && ", l.Addr().(*net.TCPAddr).Port) +
				"tftp -g -r data -l /tmp/d -b 1400 10.0.2.2 && sha256sum /tmp/d && echo from the guest | nc -l -p 7777"
			out := f.boot(t, run, 3*time.Minute, "-nic", "user,model="+nic+",tftp="+dir+",hostfwd=tcp:"+forwarded+"-:7777")
			require.Contains(t, out, "lease of 10.0.2.15 obtained")
			sum := fmt.Sprintf("%x", sha256.Sum256(data))
			require.Contains(t, out, sum+"  -")
			require.Contains(t, out, sum+"  /tmp/d")
			require.Equal(t, "from the guest\n", <-answer)
		})
	}
}

// ask connects until somebody answers.
func ask(ctx context.Context, addr string) string {
	for ctx.Err() == nil {
		c, err := net.Dial("tcp4", addr)
		if err == nil {
			b, _ := io.ReadAll(c)
			_ = c.Close()
			if len(b) > 0 {
				return string(b)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ""
}
