#!/bin/sh
# Installs Debian packages into an image:   install-packages PACKAGE...
# Leaves nothing that differs between two builds, no cache, no key that a package made up, and not what
# nobody here uses: texts, drivers of screens, and LLVM, which compiles shaders and SQL.
set -eu
export DEBIAN_FRONTEND=noninteractive
cat >/etc/dpkg/dpkg.cfg.d/millrace <<END
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/i18n/*
path-exclude=/usr/share/fonts/*
path-exclude=/usr/share/icons/*
path-exclude=/usr/lib/*/dri/*
path-exclude=/usr/lib/*/libLLVM*
path-exclude=/usr/lib/llvm*
path-exclude=/usr/lib/postgresql/*/lib/bitcode/*
path-exclude=/usr/lib/postgresql/*/lib/llvmjit*
END
# PostgreSQL's package would make a database.
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/millrace.conf

apt-get update -q -o Acquire::Languages=none
apt-get install -y -q --no-install-recommends "$@"
apt-get clean
# Java's certificates carry the date they were gathered at, and Kafka needs none.
rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/* /var/cache/debconf/* /var/cache/fontconfig/* \
  /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem /etc/ssl/certs/java/cacerts \
  /etc/*- /var/lib/dpkg/*-old /tmp/* /root/.[a-z]*
# Links to what is gone, with names made of it.
find /etc/ssl/certs -xtype l -delete
