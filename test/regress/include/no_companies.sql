-- Takes the roles of companies.sql away; their database is gone.
SET client_min_messages = warning;
DROP ROLE te_ann, te_tom, te_vic, te_bob, te_nobody, te_admin, te_stranger;
RESET client_min_messages;
