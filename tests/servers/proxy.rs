//! What stands between the function and the origin.

use std::{fs, path::Path};

use nix::sys::signal::Signal;

use crate::{place, program::Program};

/// A proxy, and what its configuration has besides the bare minimum.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Nginx(Nginx),
    Haproxy(Haproxy),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Nginx {
    /// Parameters of `listen`.
    pub(crate) listen: &'static str,
    /// In the block `server`.
    pub(crate) server: &'static str,
}

pub(crate) const NGINX: Nginx = Nginx { listen: "", server: "" };

#[derive(Clone, Copy, Debug)]
pub(crate) struct Haproxy {
    /// Parameters of `bind`.
    pub(crate) bind: &'static str,
    /// In the section `defaults`.
    pub(crate) defaults: &'static str,
    /// In the section `frontend`.
    pub(crate) frontend: &'static str,
}

pub(crate) const HAPROXY: Haproxy = Haproxy { bind: "", defaults: "", frontend: "" };

impl From<Nginx> for Kind {
    fn from(nginx: Nginx) -> Self {
        Self::Nginx(nginx)
    }
}

impl From<Haproxy> for Kind {
    fn from(haproxy: Haproxy) -> Self {
        Self::Haproxy(haproxy)
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) program: Program,
    reload: Signal,
}

impl Proxy {
    pub(crate) async fn start(kind: Kind, origin: u16, folder: &Path) -> Self {
        let port = place::free_port();
        let file = folder.join("proxy.conf");
        let path = file.display().to_string();
        let (name, text, arguments, reload) = match kind {
            Kind::Nginx(nginx) => {
                let text = nginx.configuration(port, origin, &folder.display().to_string());
                ("nginx", text, vec!["-c", &path, "-e", "stderr", "-g", "daemon off;"], Signal::SIGHUP)
            }
            Kind::Haproxy(haproxy) => {
                let text = haproxy.configuration(port, origin);
                ("haproxy", text, vec!["-W", "-f", &path], Signal::SIGUSR2)
            }
        };
        fs::write(&file, text).unwrap();
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        let program = Program::start(name, arguments, Vec::new(), port, folder).await;
        Self { port, program, reload }
    }

    /// Has it read its configuration again.
    pub(crate) fn reload(&self) {
        self.program.signal(self.reload);
    }
}

impl Nginx {
    fn configuration(self, port: u16, origin: u16, folder: &str) -> String {
        let Self { listen, server } = self;
        format!(
            "user root root; worker_processes 2; pid {folder}/nginx.pid; error_log stderr info;
            events {{ worker_connections 512; }}
            http {{
                access_log off;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                upstream perseus {{ server 127.0.0.1:{origin}; keepalive 8; }}
                server {{
                    listen 127.0.0.1:{port} {listen};
                    ssl_certificate certificate.pem; ssl_certificate_key key.pem;
                    {server}
                    location /ingest {{
                        proxy_pass http://perseus; proxy_http_version 1.1; proxy_set_header connection \"\";
                    }}
                }}
            }}"
        )
    }
}

impl Haproxy {
    fn configuration(self, port: u16, origin: u16) -> String {
        let Self { bind, defaults, frontend } = self;
        format!(
            "global\n maxconn 256\n default-path config\n\
             defaults\n mode http\n timeout connect 1s\n timeout client 30s\n timeout server 30s\n {defaults}\n\
             frontend perseus\n bind 127.0.0.1:{port} {bind}\n {frontend}\n default_backend origin\n\
             backend origin\n server origin 127.0.0.1:{origin}\n"
        )
    }
}
