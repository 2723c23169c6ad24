// Package tlscreds holds the user-creatable objects for secure connections: X.509 credentials (tls-creds-x509) and authorization
// (authz-simple, authz-list, authz-listfile), with QEMU's files, checks and error texts.
package tlscreds

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"goemu/internal/strerror"
)

// Endpoint is the side of a connection that credentials are for.
type Endpoint string

// The endpoints.
const (
	Client Endpoint = "client"
	Server Endpoint = "server"
)

// The files in the directory of credentials.
const (
	fileCA         = "ca-cert.pem"
	fileCRL        = "ca-crl.pem"
	fileServerCert = "server-cert.pem"
	fileServerKey  = "server-key.pem"
	fileClientCert = "client-cert.pem"
	fileClientKey  = "client-key.pem"
)

// X509 are credentials made of certificates.
type X509 struct {
	Options
	held atomic.Pointer[files]
}

// files is what the files of credentials hold.
type files struct {
	roots   *x509.CertPool
	own     *tls.Certificate // nil for an anonymous client
	revoked map[string]bool  // serial numbers by issuer
}

// Options are the properties of X.509 credentials.
type Options struct {
	Dir         string
	Endpoint    Endpoint
	VerifyPeer  bool
	SanityCheck bool
	PasswordID  string
	Priority    string
}

// errorf makes an error whose text may end in an errno's.
func errorf(format string, a ...any) error { return fmt.Errorf(format, a...) }

// Load reads and checks credentials.
func Load(o Options) (*X509, error) {
	c := &X509{Options: o}
	return c, c.Reload()
}

// Reload reads and checks the files again, for connections that are made from then on. Files with a mistake change nothing.
func (c *X509) Reload() error {
	f, err := readFiles(&c.Options)
	if err == nil {
		c.held.Store(f)
	}
	return err
}

func readFiles(o *Options) (*files, error) {
	if o.Dir == "" {
		return nil, errors.New("Missing 'dir' property value")
	}
	ca, err := path(o.Dir, fileCA, true)
	if err != nil {
		return nil, err
	}
	certName, keyName := fileClientCert, fileClientKey
	if o.Endpoint == Server {
		certName, keyName = fileServerCert, fileServerKey
	}
	crl := ""
	if o.Endpoint == Server {
		if crl, err = path(o.Dir, fileCRL, false); err != nil {
			return nil, err
		}
	}
	cert, err := path(o.Dir, certName, o.Endpoint == Server)
	if err != nil {
		return nil, err
	}
	key, err := path(o.Dir, keyName, o.Endpoint == Server)
	if err != nil {
		return nil, err
	}
	f := new(files)
	return f, f.load(o, ca, crl, cert, key)
}

// path is the name of a file of the credentials, or empty if it is neither there nor needed.
func path(dir, name string, required bool) (string, error) {
	p := filepath.Join(dir, name)
	_, err := os.Stat(p)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, os.ErrNotExist) && !required:
		return "", nil
	}
	var e unix.Errno
	errors.As(err, &e)
	return "", errorf("Unable to access credentials %s: %s", p, strerror.Text(e))
}

func (f *files) load(o *Options, ca, crl, cert, key string) error {
	if o.PasswordID != "" {
		return errors.New("Encrypted private keys (property 'passwordid') are not supported")
	}
	if o.Priority != "" {
		return errors.New("The property 'priority' is not supported: the algorithms are chosen by the TLS library")
	}
	roots, err := readCerts(ca)
	if err != nil || len(roots) == 0 {
		return errorf("Unable to import CA certificate list %s", ca)
	}
	f.roots = x509.NewCertPool()
	for _, r := range roots {
		f.roots.AddCert(r)
	}
	if o.SanityCheck {
		if err := f.sanityCheck(o.Endpoint, roots, ca, cert); err != nil {
			return err
		}
	}
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return errorf("Cannot load certificate '%s' & key '%s': %v", cert, key, err)
		}
		f.own = &pair
	}
	if crl != "" {
		return f.loadCRL(crl)
	}
	return nil
}

// readCerts reads all certificates of a file.
func readCerts(name string) (list []*x509.Certificate, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for {
		var p *pem.Block
		if p, b = pem.Decode(b); p == nil {
			return list, nil
		}
		if p.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(p.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, cert)
	}
}

// loadCRL reads the list of revoked certificates.
func (f *files) loadCRL(name string) error {
	b, err := os.ReadFile(name)
	if err == nil {
		if p, _ := pem.Decode(b); p != nil {
			b = p.Bytes
		}
		var list *x509.RevocationList
		if list, err = x509.ParseRevocationList(b); err == nil {
			f.revoked = map[string]bool{}
			for _, r := range list.RevokedCertificateEntries {
				f.revoked[string(list.RawIssuer)+r.SerialNumber.String()] = true
			}
			return nil
		}
	}
	return errorf("Cannot load CRL '%s': %v", name, err)
}

// CheckEndpoint refuses credentials for the other side.
func (c *X509) CheckEndpoint(want Endpoint) error {
	if c.Endpoint != want {
		return errorf("Expected TLS credentials for a %s endpoint", want)
	}
	return nil
}

// certificates are what this side shows.
func (f *files) certificates() []tls.Certificate {
	if f.own == nil {
		return nil
	}
	return []tls.Certificate{*f.own}
}

// verify checks the chain that the other side sent.
func (f *files) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	now := time.Now()
	pool := x509.NewCertPool()
	for _, x := range chain[1:] {
		pool.AddCert(x)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: f.roots, Intermediates: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	for _, x := range chain {
		switch {
		case f.revoked[string(x.RawIssuer)+x.SerialNumber.String()]:
			return errors.New("The certificate has been revoked")
		case now.After(x.NotAfter):
			return errors.New("The certificate has expired")
		case now.Before(x.NotBefore):
			return errors.New("The certificate is not yet activated")
		}
	}
	var unknown x509.UnknownAuthorityError
	var insecure x509.InsecureAlgorithmError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return errors.New("The certificate hasn't got a known issuer")
	case errors.As(err, &insecure):
		return errors.New("The certificate uses an insecure algorithm")
	}
	return errors.New("The certificate is not trusted")
}

// handshakeError gives a failed handshake QEMU's words.
func handshakeError(err error) error { return errorf("TLS handshake failed: %v", err) }

// Authorizer decides who may use a service, by the distinguished name of the certificate.
type Authorizer interface {
	Allowed(identity string) (bool, error)
}

// StartServer makes an accepted connection secure. authz may be nil.
func (c *X509) StartServer(conn net.Conn, authz Authorizer) (net.Conn, error) {
	held := c.held.Load()
	cfg := &tls.Config{Certificates: held.certificates(), MinVersion: tls.VersionTLS12}
	if c.VerifyPeer {
		cfg.ClientAuth = tls.RequestClientCert
	}
	t := tls.Server(conn, cfg)
	if err := t.Handshake(); err != nil {
		return nil, handshakeError(err)
	}
	if !c.VerifyPeer {
		return t, nil
	}
	chain := t.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("Verify failed: No certificate was found.")
	}
	if err := held.verify(chain, x509.ExtKeyUsageClientAuth); err != nil {
		return nil, err
	}
	if authz != nil {
		name := DistinguishedName(chain[0])
		ok, err := authz.Allowed(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errorf("TLS x509 authz check for %s is denied", name)
		}
	}
	return t, nil
}

// StartClient makes a connection to a server secure. host is the name that the server's certificate must have; a server that has another
// one learns of it when the connection ends, after a handshake that went well, as with GnuTLS.
func (c *X509) StartClient(conn net.Conn, host string) (net.Conn, error) {
	held := c.held.Load()
	cfg := &tls.Config{Certificates: held.certificates(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // checked below
	if net.ParseIP(host) == nil {
		cfg.ServerName = host
	}
	t := tls.Client(conn, cfg)
	if err := t.Handshake(); err != nil {
		return nil, handshakeError(err)
	}
	if c.VerifyPeer {
		if err := held.verifyServer(t.ConnectionState().PeerCertificates, host); err != nil {
			_ = t.Close()
			return nil, err
		}
	}
	return t, nil
}

func (f *files) verifyServer(chain []*x509.Certificate, host string) error {
	if err := f.verify(chain, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	if host == "" {
		return errors.New("No hostname for certificate validation")
	}
	if chain[0].VerifyHostname(host) != nil && !(noNames(chain[0]) && strings.EqualFold(chain[0].Subject.CommonName, host)) {
		return errorf("Certificate does not match the hostname %s", host)
	}
	return nil
}

// noNames tells whether only the certificate's common name can be a host's name.
func noNames(c *x509.Certificate) bool { return len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 }
