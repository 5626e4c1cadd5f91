# tests/fetch/servers.sh: real servers on loopback ports, for the folder $work; sourced by the tests. Each start_ function waits
# until its server answers and notes its pid in $pids; stop_all ends those and nothing else. tests/support/processes.sh is read before.

pids=

# Waits until server NAME, process PID, listens; minutes, which only a broken one needs.
wait_for_port() # PORT NAME PID
{
    if ! python3 -S -E -c 'import os, socket, sys, time
for tries in range(6000):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60).close()
        sys.exit(0)
    except OSError:
        if open("/proc/%s/stat" % sys.argv[2]).read().rsplit(")")[1].split()[0] == "Z":
            break
        time.sleep(0.05)
sys.exit(1)' "$1" "$3"; then
        echo "nobody listens on port $1 ($2)" >&2
        exit 1
    fi
}

stop_all()
{
    for pid in $pids; do
        kill -CONT "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=
}

# Takes an ended process off $pids: its number may be somebody else's soon, who is not to be killed by stop_all.
forget() # PID
{
    left=
    for pid in $pids; do
        [ "$pid" = "$1" ] || left="$left $pid"
    done
    pids=$left
}

# A certificate authority, a certificate for 127.0.0.1, one for another name, and one that nobody vouches for.
make_certificates()
{
    mkdir -p "$work/tls"
    (
        cd "$work/tls"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca
        for name in good wrong; do
            [ $name = good ] && san=IP:127.0.0.1 || san=DNS:bills.example.org
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
            printf 'subjectAltName=%s\n' "$san" >$name.ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
        done
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.pem -days 2 -subj /CN=127.0.0.1 \
            -addext subjectAltName=IP:127.0.0.1
    ) >"$work/tls.log" 2>&1
}

# sshd: this user, by key only; $sshd_port. Argument: the host key's file, made where it is missing.
start_sshd()
{
    [ -f "$1" ] || ssh-keygen -q -t ed25519 -N '' -f "$1"
    [ -f "$work/user_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/user_key"
    cp "$work/user_key.pub" "$work/authorized_keys"
    chmod 600 "$1" "$work/authorized_keys" "$work/user_key"
    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    cat >"$work/sshd_config" <<END
Port $sshd_port
ListenAddress 127.0.0.1
HostKey $1
AuthorizedKeysFile $work/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
LogLevel VERBOSE
END
    /usr/sbin/sshd -D -e -f "$work/sshd_config" >>"$work/sshd.log" 2>&1 &
    sshd_pid=$!
    pids="$pids $sshd_pid"
    wait_for_port "$sshd_port" sshd "$sshd_pid"
}

# vsftpd: anonymous, from $work/ftp; $ftp_port. Argument: yes for TLS, which is then asked for.
start_vsftpd()
{
    mkdir -p "$work/ftp" "$work/empty"
    chmod 555 "$work/ftp" "$work/empty"
    cat >"$work/vsftpd.conf" <<END
listen=YES
listen_address=127.0.0.1
listen_port=$ftp_port
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=$work/ftp
secure_chroot_dir=$work/empty
seccomp_sandbox=NO
xferlog_enable=YES
xferlog_std_format=NO
log_ftp_protocol=YES
vsftpd_log_file=$work/vsftpd.log
pasv_address=127.0.0.1
ssl_enable=$1
allow_anon_ssl=$1
force_anon_data_ssl=$1
force_anon_logins_ssl=$1
require_ssl_reuse=NO
rsa_cert_file=$work/tls/good.pem
rsa_private_key_file=$work/tls/good.key
END
    [ "$(id -u)" -eq 0 ] || echo run_as_launching_user=YES >>"$work/vsftpd.conf"
    vsftpd "$work/vsftpd.conf" >>"$work/vsftpd.out" 2>&1 &
    ftp_pid=$!
    pids="$pids $ftp_pid"
    wait_for_port "$ftp_port" vsftpd "$ftp_pid"
}

# nginx: $work/www on $https_port (good), $wrong_port (another name's certificate), $self_port (its own); /private asks for
# user and password, /slow sends 300 KB at once and then 1 KB a second.
start_nginx()
{
    mkdir -p "$work/www" "$work/nginx"
    cat >"$work/nginx.conf" <<END
daemon off;
worker_processes 1;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 64; }
http {
    log_format plain '\$request_method \$uri \$status \$body_bytes_sent \$http_range \$remote_user';
    access_log $work/nginx/access.log plain;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    server {
        listen 127.0.0.1:$https_port ssl;
        ssl_certificate $work/tls/good.pem;
        ssl_certificate_key $work/tls/good.key;
        root $work/www;
        location /private/ { auth_basic bills; auth_basic_user_file $work/htpasswd; alias $work/www/; }
        location /slow/ { limit_rate_after 300k; limit_rate 1k; alias $work/www/; }
        location /moved/ { rewrite ^/moved/(.*)\$ https://127.0.0.1:$https_port/\$1 redirect; }
        location /busy/ { return 503; }
    }
    server { listen 127.0.0.1:$wrong_port ssl; ssl_certificate $work/tls/wrong.pem; ssl_certificate_key $work/tls/wrong.key; root $work/www; }
    server { listen 127.0.0.1:$self_port ssl; ssl_certificate $work/tls/self.pem; ssl_certificate_key $work/tls/self.key; root $work/www; }
    server { listen 127.0.0.1:$http_port; root $work/www; }
}
END
    if [ "$(id -u)" -eq 0 ]; then
        sed -i '1i user root;' "$work/nginx.conf"
    fi
    /usr/sbin/nginx -c "$work/nginx.conf" -e "$work/nginx/error.log" &
    nginx_pid=$!
    pids="$pids $nginx_pid"
    wait_for_port "$https_port" nginx "$nginx_pid"
}
