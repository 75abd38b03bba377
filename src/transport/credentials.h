/*
 * credentials.h - the files that a connection needs, and what they say.
 *
 * They are looked at before each attempt to connect, because the libraries name neither the file
 * nor the reason.  Messages name the setting, and never hold a line of a file.
 */
#ifndef TE_TRANSPORT_CREDENTIALS_H
#define TE_TRANSPORT_CREDENTIALS_H

#include <stdio.h>

#include "common.h"

#define TE_PASSWORD_SIZE 1024

/* What the settings of a transport are called. */
typedef struct TeCredentialNames
{
	const char *ca, *cert, *key, *password, *nkey, *credentials;
} TeCredentialNames;

/*
 * Certificates and keys can be read, are what they should be, belong together, and are valid
 * today.  False with `error` set.
 */
bool te_credentials_check_tls(const TeTransportConfig *config, const TeCredentialNames *names,
                              char *error, size_t size);

/* The first line of the password's file.  The caller wipes it. */
bool te_credentials_read_password(const TeTransportConfig *config, const TeCredentialNames *names,
                                  char password[TE_PASSWORD_SIZE], char *error, size_t size);

/* Opens a setting's file; NULL with `error` set. */
FILE *te_credentials_open(const char *file_name, const char *setting, char *error, size_t size);

#endif
