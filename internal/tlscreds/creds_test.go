package tlscreds

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/tlscreds/credstest"
)

func load(t *testing.T, dir string, e Endpoint) *X509 {
	c, err := Load(Options{Dir: dir, Endpoint: e, VerifyPeer: true, SanityCheck: true})
	require.NoError(t, err)
	return c
}

// handshake connects the two sides and returns their errors.
func handshake(t *testing.T, s, c *X509, host string, authz Authorizer) (serverErr, clientErr error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			var secure net.Conn
			if secure, err = s.StartServer(conn, authz); err == nil {
				_, err = secure.Write([]byte("x"))
			}
		}
		done <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	secure, clientErr := c.StartClient(conn, host)
	if clientErr == nil {
		_, clientErr = secure.Read(make([]byte, 1))
	} else {
		conn.Close()
	}
	return <-done, clientErr
}

func TestHandshake(t *testing.T) {
	one, other := credstest.New(t, "one", nil), credstest.New(t, "other", nil)
	s := load(t, one.Dir(t, string(Server), nil), Server)
	c := load(t, one.Dir(t, string(Client), nil), Client)
	stranger := load(t, other.Dir(t, string(Client), nil), Client)
	anonymousDir := one.Dir(t, string(Client), nil)
	require.NoError(t, os.Remove(filepath.Join(anonymousDir, fileClientCert)))
	anonymous := load(t, anonymousDir, Client)
	const name = `CN=the client,O=Org\, Inc.,C=XX`
	for _, x := range []struct {
		client       *X509
		host         string
		authz        Authorizer
		server, text string
	}{
		{client: c, host: "127.0.0.1"},
		{client: c, host: "host.example"},
		{client: c, host: "localhost", text: "Certificate does not match the hostname localhost"},
		{client: c, host: "", text: "No hostname for certificate validation"},
		{client: stranger, host: "127.0.0.1", text: "The certificate hasn't got a known issuer"},
		{client: anonymous, host: "127.0.0.1", server: "Verify failed: No certificate was found."},
		{client: c, host: "127.0.0.1", authz: Simple{name}},
		{client: c, host: "127.0.0.1", authz: Simple{"CN=x"}, server: "TLS x509 authz check for " + name + " is denied"},
	} {
		serverErr, clientErr := handshake(t, s, x.client, x.host, x.authz)
		switch {
		case x.text != "":
			require.EqualError(t, clientErr, x.text) // the server only sees the connection end
		case x.server != "":
			require.EqualError(t, serverErr, x.server)
			require.Error(t, clientErr)
		default:
			require.NoError(t, serverErr)
			require.NoError(t, clientErr)
		}
	}
}

// TestReload changes the files of a server's credentials: only those that are right count, and for connections made later.
func TestReload(t *testing.T) {
	one, other := credstest.New(t, "one", nil), credstest.New(t, "other", nil)
	dir := one.Dir(t, string(Server), nil)
	s := load(t, dir, Server)
	old, fresh := load(t, one.Dir(t, string(Client), nil), Client), load(t, other.Dir(t, string(Client), nil), Client)
	welcome := func(c *X509) {
		t.Helper()
		serverErr, clientErr := handshake(t, s, c, "127.0.0.1", nil)
		require.NoError(t, serverErr)
		require.NoError(t, clientErr)
	}
	welcome(old)
	require.NoError(t, os.WriteFile(filepath.Join(dir, fileCA), []byte("nonsense"), 0o600))
	require.ErrorContains(t, s.Reload(), "Unable to import CA certificate list")
	welcome(old)
	require.NoError(t, os.CopyFS(dir+"/new", os.DirFS(other.Dir(t, string(Server), nil))))
	for _, name := range []string{fileCA, fileServerCert, fileServerKey} {
		require.NoError(t, os.Rename(filepath.Join(dir, "new", name), filepath.Join(dir, name)))
	}
	welcome(old)
	require.NoError(t, s.Reload())
	welcome(fresh)
	_, err := handshake(t, s, old, "127.0.0.1", nil)
	require.EqualError(t, err, "The certificate hasn't got a known issuer")
}

func TestSanity(t *testing.T) {
	good := credstest.New(t, "good", nil)
	past := time.Now().Add(-time.Minute)
	noCA := credstest.New(t, "no CA", func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = 0 })
	for _, x := range []struct {
		dir  func() string
		e    Endpoint
		want string
	}{
		{func() string { return "" }, Server, "Missing 'dir' property value"},
		{func() string { return "/nonexistent" }, Client, "Unable to access credentials /nonexistent/ca-cert.pem: No such file or directory"},
		{func() string { return good.Dir(t, string(Server), func(c *x509.Certificate) { c.NotAfter = past }) }, Server, "has expired"},
		{func() string {
			return good.Dir(t, string(Client), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
		}, Client, "is not yet active"},
		{func() string {
			return good.Dir(t, string(Server), func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
		}, Server, "basic constraints show a CA, but we need one for a server"},
		{func() string {
			return good.Dir(t, string(Server), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
		}, Server, "usage does not permit digital signature"},
		{func() string { return noCA.Dir(t, string(Server), nil) }, Server, "basic constraints do not show a CA"},
	} {
		_, err := Load(Options{Dir: x.dir(), Endpoint: x.e, VerifyPeer: true, SanityCheck: true})
		require.ErrorContains(t, err, x.want)
	}
	require.EqualError(t, load(t, good.Dir(t, string(Client), nil), Client).CheckEndpoint(Server), "Expected TLS credentials for a server endpoint")
}

func TestList(t *testing.T) {
	l := &List{Policy: "deny", Rules: []Rule{{Match: "CN=a*", Policy: "deny", Format: "glob"}, {Match: "CN=?,*", Policy: "allow", Format: "glob"}, {Match: "fred", Policy: "allow"}}}
	for id, want := range map[string]bool{"CN=abc": false, "CN=b,O=x": true, "fred": true, "freda": false, "": false} {
		got, err := l.Allowed(id)
		require.NoError(t, err)
		require.Equal(t, want, got, id)
	}
	name := filepath.Join(t.TempDir(), "list")
	require.NoError(t, os.WriteFile(name, []byte(`{"policy":"allow","rules":[{"match":"x","policy":"deny","format":"exact"}]}`), 0o600))
	f, err := NewListFile(name, true)
	require.NoError(t, err)
	ok, err := f.Allowed("y")
	require.True(t, ok && err == nil)
	require.NoError(t, os.WriteFile(name, []byte(`[]`), 0o600))
	ok, err = f.Allowed("y")
	require.False(t, ok)
	require.Error(t, err)
}
