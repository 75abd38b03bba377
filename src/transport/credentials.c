#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "credentials.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

FILE *te_credentials_open(const char *file_name, const char *setting, char *error, size_t size)
{
	FILE *f = fopen(file_name, "re");
	struct stat status;

	if (f != NULL && fstat(fileno(f), &status) == 0 && S_ISREG(status.st_mode))
		return f;
	snprintf(error, size, "cannot read %s: %s", setting,
	         f == NULL ? strerrordesc_np(errno) : "it is not a file");
	if (f != NULL)
		fclose(f);
	return NULL;
}

bool te_credentials_read_password(const TeTransportConfig *config, const TeCredentialNames *names,
                                  char password[TE_PASSWORD_SIZE], char *error, size_t size)
{
	FILE *f = te_credentials_open(config->password_file, names->password, error, size);
	size_t len;

	if (f == NULL)
		return false;
	/* Its buffer would keep the password. */
	setvbuf(f, NULL, _IONBF, 0);
	if (fgets(password, TE_PASSWORD_SIZE, f) == NULL)
		password[0] = '\0';
	fclose(f);
	len = strcspn(password, "\r\n");
	if (len > 0 && len < TE_PASSWORD_SIZE - 1) {
		password[len] = '\0';
		return true;
	}
	snprintf(error, size, "%s has no password, or one that is too long, in its first line",
	         names->password);
	return false;
}

/* Nobody is there to be asked for one. */
static int refuse_passphrase(char *buffer, int size, int writing, void *closure)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)closure;
	return -1;
}

static void print_time(const ASN1_TIME *time, char *text, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		text[0] = '\0';
}

/* A certificate that is not valid now, in words; empty when it is. */
static void find_time(const X509 *cert, const char *setting, char *text, size_t size)
{
	char when[40];

	text[0] = '\0';
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
		print_time(X509_get0_notAfter(cert), when, sizeof(when));
		snprintf(text, size, "the certificate in %s expired at %s", setting, when);
	} else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
		print_time(X509_get0_notBefore(cert), when, sizeof(when));
		snprintf(text, size, "the certificate in %s is not valid before %s", setting, when);
	}
}

/* One of the authorities that is valid is enough: which one is needed is not known here. */
static bool check_authorities(const char *file_name, const char *setting, char *error, size_t size)
{
	FILE *f = te_credentials_open(file_name, setting, error, size);
	char text[TE_TRANSPORT_ERROR_SIZE] = "";
	bool valid = false, any = false;
	X509 *cert;

	if (f == NULL)
		return false;
	while (!valid && (cert = PEM_read_X509_AUX(f, NULL, refuse_passphrase, NULL)) != NULL) {
		any = true;
		find_time(cert, setting, text, sizeof(text));
		valid = text[0] == '\0';
		X509_free(cert);
	}
	fclose(f);
	if (!any)
		snprintf(error, size, "%s has no certificate in PEM format", setting);
	else if (!valid)
		snprintf(error, size, "%s", text);
	return valid;
}

static X509 *read_certificate(const char *file_name, const char *setting, char *error, size_t size)
{
	FILE *f = te_credentials_open(file_name, setting, error, size);
	X509 *cert;

	if (f == NULL)
		return NULL;
	cert = PEM_read_X509_AUX(f, NULL, refuse_passphrase, NULL);
	fclose(f);
	if (cert == NULL)
		snprintf(error, size, "%s has no certificate in PEM format", setting);
	return cert;
}

static EVP_PKEY *read_key(const char *file_name, const char *setting, char *error, size_t size)
{
	FILE *f = te_credentials_open(file_name, setting, error, size);
	EVP_PKEY *key;

	if (f == NULL)
		return NULL;
	setvbuf(f, NULL, _IONBF, 0);
	key = PEM_read_PrivateKey(f, NULL, refuse_passphrase, NULL);
	fclose(f);
	if (key == NULL)
		snprintf(error, size, "%s has no private key in PEM format without a passphrase", setting);
	return key;
}

static bool check_pair(const TeTransportConfig *config, const TeCredentialNames *names, char *error,
                       size_t size)
{
	X509 *cert = read_certificate(config->tls_cert_file, names->cert, error, size);
	EVP_PKEY *key = cert != NULL ? read_key(config->tls_key_file, names->key, error, size) : NULL;
	bool ok = key != NULL;

	if (ok && X509_check_private_key(cert, key) != 1) {
		snprintf(error, size, "the key in %s is not that of the certificate in %s", names->key,
		         names->cert);
		ok = false;
	}
	if (ok) {
		char text[TE_TRANSPORT_ERROR_SIZE];

		find_time(cert, names->cert, text, sizeof(text));
		if (text[0] != '\0')
			snprintf(error, size, "%s", text);
		ok = text[0] == '\0';
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	return ok;
}

bool te_credentials_check_tls(const TeTransportConfig *config, const TeCredentialNames *names,
                              char *error, size_t size)
{
	bool ok = (config->tls_ca_file == NULL ||
	           check_authorities(config->tls_ca_file, names->ca, error, size)) &&
	          (config->tls_cert_file == NULL || check_pair(config, names, error, size));

	/* What is left in the thread's queue would be taken for the library's own. */
	ERR_clear_error();
	return ok;
}
